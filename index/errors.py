"""Every error a user can cause; each says where, what was found, what was expected, the way out.

* ScisearchError
  - CorpusError: the input rows cannot be indexed
  - IndexFormatError: the folder on disk is not an index this version can open
    - CorruptIndexError: a file of the index is missing or is not what was written
  - BuildError: an index cannot be built or published here
  - ModelError: a model cannot be found, loaded or used for this stage
  - FilterError: a metadata filter does not fit the index
  - RankingError: a ranked list, a run, topics or judgements break a rule of their type
  - TrainingError: training lists, or a training, that cannot be used or continued
  - ConfigError: options that do not go together
"""


class ScisearchError(Exception):
    """Base of all the errors below; the command line prints it as one line."""


class CorpusError(ScisearchError):
    """The input rows cannot be indexed."""


class IndexFormatError(ScisearchError):
    """The index folder cannot be opened."""


class CorruptIndexError(IndexFormatError):
    """A file of the index is missing, has another size, or has another checksum."""


class BuildError(ScisearchError):
    """The index cannot be built or published here."""


class ModelError(ScisearchError):
    """A model cannot be found, loaded, or used for this stage."""


class FilterError(ScisearchError):
    """A metadata filter names an unknown column or a value that does not fit its type."""


class RankingError(ScisearchError):
    """A ranked list, a run, topics or judgements are malformed."""


class TrainingError(ScisearchError):
    """Training lists that cannot be used, or a training that cannot go on."""


class ConfigError(ScisearchError):
    """Options that do not go together."""
