"""placeholder"""


def reads_back(line):
    return True
