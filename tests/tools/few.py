"""Folders of experiments whose data are so few that a test can afford them."""

from lowerbound import data

from tools.experiments.run_dir import RunDir


class Few(RunDir):
    """A run_dir of the first `count` images."""

    count = 60

    def images(self, split: str) -> data.Images:
        """So many of them."""
        images = super().images(split)
        return data.Images(images.x[: self.count], images.y[: self.count])


class Some(Few):
    """With as many images as the rulers need to be sure of the best."""

    count = 300
