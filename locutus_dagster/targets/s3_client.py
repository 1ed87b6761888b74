"""Asking a store that speaks S3: the client, one request at a time, and what a refusal means.

What belongs here: building boto3's client from settings, renewing credentials that were refused,
and errors in words. What does not: what is asked and what follows from the answer (`s3.py`,
`s3_upload.py`).

The client is set up as dagster-aws sets up its own (`dagster_aws.s3.utils`), from the same values
under the same names; `defs/cloud_resources.py` makes that resource out of them. boto3 is imported
when a target is opened, because it is an extra.
"""

from __future__ import annotations

import importlib
import threading
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from locutus_dagster.secret_refs import Secrets
from locutus_dagster.settings import S3TargetSettings
from locutus_dagster.targets.base import TargetError, resolved
from locutus_dagster.targets.quiet import hush_loggers_of
from locutus_dagster.targets.s3_answers import RefusedError, refusal
from locutus_dagster.targets.stores import address_of

__all__ = ["Bucket", "client_for", "client_values", "host_of", "library"]

# What every whole answer says. One whose connection broke in its head has a status and little else,
# and nothing beneath boto3 takes offence: an empty list would mean that nothing is there.
_SAID = {
    "create_multipart_upload": "UploadId",
    "head_object": "ETag",
    "list_multipart_uploads": "Bucket",
    "list_object_versions": "Name",
    "upload_part": "ETag",
}
_AMAZON = "s3.amazonaws.com"
# What is refused because of who asks, rather than because of what he asks for. A HEAD has no body:
# its refusals carry the bare status, and an expired token is a 400.
_WHO = {
    "400",
    "401",
    "403",
    "AuthFailure",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}


def library(name: str) -> Any:
    """A module of boto3's family.

    Raises:
        TargetError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise TargetError(
            f"A package that S3 targets need is not installed ({name.partition('.')[0]}).",
            "Install it with: pip install 'locutus-dagster[s3]'",
        ) from None


def host_of(settings: S3TargetSettings) -> str:
    """The store's host, with its port if one is named; never a password."""
    if settings.endpoint_url is None:
        return _AMAZON
    return urlsplit(settings.endpoint_url).netloc.rpartition("@")[2] or "?"


def client_values(
    settings: S3TargetSettings, secrets: Secrets, *, fresh: bool = False
) -> dict[str, Any]:
    """What a client is built from, under the names that dagster-aws' `S3Resource` has for it.

    Args:
        fresh: resolve the secrets again, because what they led to has been refused.

    Raises:
        TargetError: a secret reference leads nowhere.
    """

    def secret(reference: str | None) -> str | None:
        return None if reference is None else resolved(secrets, reference, fresh=fresh)

    # None leaves the authorities to AWS_CA_BUNDLE and the profile, as boto3 does.
    verify = None if settings.verify is True else settings.verify
    return {
        "region_name": settings.region,
        "endpoint_url": settings.endpoint_url,
        "profile_name": settings.profile,
        "verify": verify if verify is None or verify is False else str(verify),
        # botocore counts what comes after the first request.
        "max_attempts": settings.attempts - 1,
        "aws_access_key_id": secret(settings.access_key_id),
        "aws_secret_access_key": secret(settings.secret_access_key),
        "aws_session_token": secret(settings.session_token),
    }


def client_for(settings: S3TargetSettings, secrets: Secrets) -> Any:
    """A boto3 client for a target's store.

    Raises:
        TargetError: boto3 is missing, or cannot use the settings, or a secret is missing.
    """
    return _built(settings, client_values(settings, secrets))


@cache
def _models() -> Any:
    """botocore's descriptions of services: reading them takes longer than all else in a client."""
    return library("botocore.loaders").create_loader()


def _built(settings: S3TargetSettings, values: dict[str, Any]) -> Any:
    boto3, exceptions = library("boto3"), library("botocore.exceptions")
    hush_loggers_of("boto3", "botocore", "s3transfer", "urllib3")
    values = dict(values)
    config = library("botocore.config").Config(
        retries={"max_attempts": values.pop("max_attempts"), "mode": "standard"},
        connect_timeout=settings.timeout,
        read_timeout=settings.timeout,
        max_pool_connections=max(settings.connections, 10),
        tcp_keepalive=True,
        s3={"addressing_style": settings.addressing_style},
        # Every upload names its checksum; stores that are not Amazon's know few defaults.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        core = library("botocore.session").get_session()
        core.register_component("data_loader", _models())
        session = boto3.session.Session(
            botocore_session=core, profile_name=values.pop("profile_name")
        )
        return session.client("s3", config=config, **values)
    except (exceptions.BotoCoreError, OSError, ValueError) as error:
        raise TargetError(
            f"An S3 client cannot be made from these settings ({type(error).__name__}).",
            "Look at endpoint_url, region, profile and verify of the target, and at the files that "
            "AWS_* variables name.",
        ) from None


class Bucket:
    """One bucket, asked one operation at a time. Safe to use from several threads.

    Args:
        settings: where it is and who asks.
        secrets: resolves the references among them.
    """

    def __init__(self, settings: S3TargetSettings, secrets: Secrets) -> None:
        self.name = settings.bucket
        self.host = host_of(settings)
        self._settings = settings
        self._secrets = secrets
        self._lock = threading.Lock()
        self._client: Any = None
        self._values: dict[str, Any] = {}
        self._exceptions = library("botocore.exceptions")
        self._unreadable = library("botocore.parsers").ResponseParserError
        library("boto3")

    def __repr__(self) -> str:
        return f"Bucket({self.name!r}, at {self.host!r})"

    def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Carry out one operation on the bucket.

        Where it is refused because of who asks, the secrets are resolved again, once.

        Args:
            operation: a method of boto3's client, such as `head_object`.
            parameters: its parameters, but for the bucket. A `Body` is rewound for each attempt.

        Raises:
            RefusedError: the store has answered, with a refusal.
            TargetError: it has not answered, or there are no credentials.
        """
        client = self._connected()
        try:
            return self._ask(client, operation, parameters)
        except RefusedError as refused:
            if not self._renewed(client, refused):
                raise
        return self._ask(self._connected(), operation, parameters)

    def store(self) -> str:
        """Which bucket of which store is asked; the environment or a profile may name the store.

        Raises:
            TargetError: the settings or secrets cannot be used.
        """
        return f"{address_of(str(self._connected().meta.endpoint_url))}/{self.name}"

    def close(self) -> None:
        """Release connections; the next `ask` makes new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, client: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        for again in range(self._settings.attempts):
            answer = self._answer(client, operation, parameters)
            if answer is not None and _SAID.get(operation, "ResponseMetadata") in answer:
                answer["ResponseMetadata"]["RetryAttempts"] += again
                return answer
        raise TargetError(
            f"The answers of the store at {self.host} break off.",
            "Check the network and what lies between, then run again; finished work is kept.",
        )

    def _answer(
        self, client: Any, operation: str, parameters: dict[str, Any]
    ) -> dict[str, Any] | None:
        """One answer; None if it cannot be read."""
        body = parameters.get("Body")
        if body is not None:
            body.seek(0)
        try:
            answer: dict[str, Any] = getattr(client, operation)(Bucket=self.name, **parameters)
        except self._exceptions.ClientError as error:
            raise refusal(error.response, operation, self.name, self.host) from None
        except self._unreadable:
            return None
        except (self._exceptions.BotoCoreError, OSError) as error:
            # Of no file that is sent: what befalls that is no `Exception` (`s3_upload.py`).
            raise self._failed(error) from None
        return answer

    def _connected(self) -> Any:
        with self._lock:
            if self._client is None:
                self._values = client_values(self._settings, self._secrets)
                self._client = _built(self._settings, self._values)
            return self._client

    def _renewed(self, refused: Any, error: RefusedError) -> bool:
        """Whether it is worth asking again, with a client that the refused one is not."""
        by_credentials = error.code in _WHO
        if not by_credentials and error.status not in (401, 403):
            return False
        with self._lock:
            if self._client is not refused:
                return True  # another thread has renewed it meanwhile
            values = client_values(self._settings, self._secrets, fresh=True)
            own = self._settings.access_key_id is not None
            if values == self._values and (own or not by_credentials):
                return False
            self._values, self._client = values, _built(self._settings, values)
        # Not closed: other threads may have a request on it.
        return True

    def _failed(self, error: Exception) -> TargetError:
        """No answer, in words. The error's own text is not quoted: it carries the object's key."""
        known = self._exceptions
        kind = type(error).__name__
        if isinstance(error, known.SSLError):
            return TargetError(
                f"The certificate of {self.host} is not trusted ({kind}).",
                "Set the target's 'verify' to the file of the authority that signed it.",
            )
        if isinstance(
            error,
            known.NoCredentialsError
            | known.PartialCredentialsError
            | known.CredentialRetrievalError
            | known.TokenRetrievalError
            | known.SSOTokenLoadError,
        ):
            return TargetError(
                f"There are no credentials for the bucket {self.name} ({kind}).",
                "Give the target access_key_id and secret_access_key, or a profile or role that "
                "boto3 finds.",
            )
        if isinstance(error, known.HTTPClientError | known.ConnectionError):
            return TargetError(
                f"The store at {self.host} does not answer ({kind}).",
                "Check that it runs and can be reached from here, then run again; finished work "
                "is kept.",
            )
        return TargetError(
            f"The bucket {self.name} cannot be asked with these settings ({kind}).",
            "Look at the target's bucket, region and endpoint_url.",
        )
