"""The book's derivations, each checked line by line when it is called.

>>> from lowerbound import proofs
>>> proofs.elbo()                    # prints the bound, line by line
>>> proofs.derivations()             # all of them, by name
>>> proofs.elbo().change(3, wrong)   # a wrong line raises StepError
"""

from .chain import *  # noqa: F403
from .elbo import *  # noqa: F403
from .examples import *  # noqa: F403
from .forward import *  # noqa: F403
from .lifting import *  # noqa: F403
from .prediction import *  # noqa: F403
from .rate import *  # noqa: F403
from .registry import code as code
from .registry import derivations as derivations
from .registry import titles as titles
from .reverse import *  # noqa: F403
from .sampling import *  # noqa: F403
from .small_step import *  # noqa: F403
from .vae import *  # noqa: F403
