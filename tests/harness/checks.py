"""The run-time type checker of the tests: an int is a float where a float is asked for, as everywhere in Python."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
