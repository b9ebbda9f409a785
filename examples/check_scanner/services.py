"""What the pipeline needs from outside: clients, settings, and what reads.

Settings come from the environment, as in a deployed function:

=====================  =======================================================================
``MODEL_BUCKET``       where the recogniser's data is (required)
``MODEL_KEY``          its key; default ``micr/e13b.npz``
``MODEL_MAX_AGE``      seconds for which a cached model is used without asking S3; default 300
``TABLE_PREFIX``       what the tables' names begin with; default ``checks-``
``MAIL_FROM``          the address that mails come from (required)
``UNCONFIRMED_LIMIT``  cents up to which a claimed amount is believed that cannot be read on the
                       check; default 500000
=====================  =======================================================================
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from . import reader
from .errors import SettingsError
from .reader import ReadAmount, ReadLine
from .records import Records

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ses import SESClient

_REQUIRED = {
    "MODEL_BUCKET": "the bucket that has the recogniser's data",
    "MAIL_FROM": "the address that mails come from",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The table above, as Python's types."""

    model_bucket: str
    mail_from: str
    model_key: str = "micr/e13b.npz"
    model_max_age: float = 300.0
    table_prefix: str = "checks-"
    unconfirmed_limit: int = 500_000

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment; raises `SettingsError`, which tells what to set."""
        missing = [f"{name} ({what})" for name, what in _REQUIRED.items() if not environ.get(name)]
        if missing:
            raise SettingsError(f"Set {' and '.join(missing)} in the environment.")
        try:
            return cls._of(environ)
        except ValueError as error:
            raise SettingsError(f"A setting in the environment is no number: {error}.") from error

    @classmethod
    def _of(cls, environ: Mapping[str, str]) -> "Settings":
        return cls(
            model_bucket=environ["MODEL_BUCKET"],
            mail_from=environ["MAIL_FROM"],
            model_key=environ.get("MODEL_KEY", "micr/e13b.npz"),
            model_max_age=float(environ.get("MODEL_MAX_AGE", "300")),
            table_prefix=environ.get("TABLE_PREFIX", "checks-"),
            unconfirmed_limit=int(environ.get("UNCONFIRMED_LIMIT", "500000")),
        )


@dataclass(frozen=True, slots=True)
class Services:
    """Clients and settings; one per process, made once, used by every invocation.

    ``reader`` gives what reads the MICR line, with the model that is current; ``courtesy`` reads
    the amount in figures, None if nothing is installed that can. ``clock`` tells the time in
    seconds since the epoch.
    """

    s3: "S3Client"
    ses: "SESClient"
    records: Records
    settings: Settings
    reader: Callable[[], ReadLine]
    courtesy: ReadAmount | None = None
    clock: Callable[[], float] = time.time


def connect(settings: Settings | None = None) -> Services:
    """Make the clients that the environment describes."""
    import boto3
    from botocore.config import Config

    settings = settings or Settings.from_environment()
    # A function has seconds; botocore's own patience is a minute for each attempt.
    config = Config(connect_timeout=3, read_timeout=8)
    # A resource's client takes and gives Python's types, refuses floats, and knows transactions.
    dynamodb = boto3.resource("dynamodb", config=config).meta.client
    return Services(
        s3=boto3.client("s3", config=config),
        ses=boto3.client("ses", config=config),
        records=Records(dynamodb, settings.table_prefix),
        settings=settings,
        reader=partial(
            reader.from_s3, settings.model_bucket, settings.model_key, settings.model_max_age
        ),
        courtesy=reader.courtesy(),
    )
