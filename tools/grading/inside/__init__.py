"""What runs beside a student's code, in the sandbox. It holds no test and no answer."""
