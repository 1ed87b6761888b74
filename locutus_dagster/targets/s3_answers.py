"""What a store's answers mean: refusals in words, and checksums as it states them.

What belongs here: reading answers. What does not: asking (`s3_client.py`).

The texts of answers are not quoted, since they may repeat a key or a signature; their codes are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from locutus_dagster.targets.base import TargetError

__all__ = ["RefusedError", "hex_of", "refusal", "stated_checksum"]

# The best first; what an object has depends on who has put it, and with which settings.
_CHECKSUMS = ("SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1")
_PERMISSIONS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject and s3:DeleteObjectVersion",
    "get_object": "s3:GetObject",
    "head_bucket": "s3:ListBucket",
    "head_object": "s3:GetObject, s3:GetObjectVersion and s3:ListBucket",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "list_object_versions": "s3:ListBucketVersions",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
}
_BEGINS_AN_OBJECT = ("create_multipart_upload", "put_object")
_WRITES = (*_BEGINS_AN_OBJECT, "upload_part", "complete_multipart_upload")
_NOT_KNOWN = (
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
)
_DAMAGED = ("BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch")


class RefusedError(TargetError):
    """The store has answered with a refusal.

    Attributes:
        status: of HTTP.
        code: the store's word for it; the bare status where an answer has no body.
    """

    def __init__(self, message: str, hint: str, status: int, code: str) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code

    @property
    def is_absent(self) -> bool:
        """Whether there is no such object or version; or, after a HEAD, perhaps no such bucket."""
        return (self.status == 404 and self.code != "NoSuchBucket") or self.status == 405

    @property
    def is_contested(self) -> bool:
        """Whether a condition did not hold: somebody else has been at that place."""
        return self.status in (409, 412)

    @property
    def is_unknown_operation(self) -> bool:
        """Whether the store does not offer such an operation at all."""
        return self.status == 501 or self.code in ("NotImplemented", "MethodNotAllowed")


def refusal(answer: Mapping[str, Any], operation: str, bucket: str, host: str) -> RefusedError:
    """A refusal in words."""
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = _harmless(answer.get("Error", {}).get("Code", ""))
    message, hint = _words(status, code, operation, bucket, host)
    return RefusedError(message, hint, status, code)


def _words(status: int, code: str, operation: str, bucket: str, host: str) -> tuple[str, str]:
    said = f"{status} {code}" if code and code != str(status) else str(status)
    if code == "NoSuchBucket" or (status == 404 and operation == "head_bucket"):
        return (
            f"There is no bucket {bucket} at {host}.",
            "Create it, or correct 'bucket', 'region' or 'endpoint_url' of the target.",
        )
    if code == "RequestTimeTooSkewed":
        return (
            f"The store at {host} says that this machine's clock is wrong ({said}).",
            "Set the clock, then run again.",
        )
    # An expired token is a 400, and a HEAD's refusal has no code.
    nameless = status == 400 and operation.startswith("head_")
    if status == 401 or nameless or code in _NOT_KNOWN:
        return (
            f"The store at {host} does not accept the credentials ({said}).",
            (
                "Put valid ones where access_key_id and secret_access_key of the target lead, or "
                "where boto3 finds them, then run again."
            ),
        )
    if status == 403:
        hint = f"Allow the target's user {_PERMISSIONS.get(operation, 'the operation')}"
        if operation == "delete_object":
            hint += ", or wait until the lock on the object (object lock, legal hold) has ended"
        if operation in _BEGINS_AN_OBJECT:
            hint += ", and the use of its KMS key if it has one"
        return (
            f"The bucket {bucket} refuses {_deed(operation)} ({said}).",
            f"{hint}; or mend the credentials.",
        )
    if status in (409, 412):
        return (
            "Another writer has been at the place of this delivery at the same moment.",
            "Nothing of his was overwritten. Run again, and look who else delivers there.",
        )
    if code in _DAMAGED:
        return (
            f"The store at {host} got other bytes than were sent ({said}).",
            "Check the network and the scratch disk, then run again; nothing was delivered.",
        )
    if status in (301, 307, 308) or code in (
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    ):
        return (
            f"The bucket {bucket} lies in another region ({said}).",
            "Set 'region' of the target.",
        )
    if operation in _BEGINS_AN_OBJECT and _may_be_encryption(status, code):
        return (
            f"The store at {host} does not take objects as they are asked for ({said}).",
            (
                "Its log says why. If it does not know the encryption or the KMS key, change "
                "'encryption' and 'kms_key_id' of the target, or set encryption: null."
            ),
        )
    if status >= 500 or code == "SlowDown":
        return (
            f"The store at {host} keeps failing ({said}).",
            "Look at its state and run again; finished work is kept.",
        )
    if operation in _WRITES and status == 404:
        return (
            f"The upload to {bucket} was aborted from elsewhere ({said}).",
            "Run again, and look who else delivers there or clears up uploads.",
        )
    return f"The bucket {bucket} refuses {_deed(operation)} ({said}).", "Its log may say why."


def _may_be_encryption(status: int, code: str) -> bool:
    return status in (400, 500, 501) or code.startswith("KMS")


def _deed(operation: str) -> str:
    if operation in _WRITES:
        return "deliveries"
    if operation == "delete_object":
        return "the removal of a delivery"
    if operation in ("get_object", "head_object", "head_bucket"):
        return "reading"
    return "looking for what earlier runs left" if operation.startswith("list") else "that"


def _harmless(code: object) -> str:
    """A code is a word; anything else is nothing that we would repeat."""
    word = str(code)
    return word if word.replace(".", "").replace("_", "").isalnum() and len(word) <= 60 else ""


def stated_checksum(answer: Mapping[str, Any]) -> str:
    """The checksum in an answer: `sha256:<hex>`, or `sha256-composite-3:<hex>` where it is one of
    the checksums of three parts; empty when the store states none.
    """
    for name in _CHECKSUMS:
        if not (stated := answer.get(f"Checksum{name}")):
            continue
        value, _, parts = str(stated).partition("-")
        digest = hex_of(value)
        if not digest:
            continue
        composite = bool(parts) or answer.get("ChecksumType") == "COMPOSITE"
        kind = name.lower() + "-composite" * composite + (f"-{parts}" if parts else "")
        return f"{kind}:{digest}"
    return ""


def hex_of(value: str) -> str:
    """Base64 as hex; empty if it is no base64."""
    try:
        return base64.b64decode(value, validate=True).hex()
    except (binascii.Error, ValueError):
        return ""
