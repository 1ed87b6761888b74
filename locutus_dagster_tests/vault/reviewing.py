"""The one thing of Kubernetes that Vault asks: whose token is this?

What belongs here: the TokenReview API, on a loopback port. What does not: the rest of Kubernetes.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from locutus_dagster_tests.vault.answering import AnsweringServer

__all__ = ["NAMESPACE", "REVIEWER", "SERVICE_ACCOUNT", "review_server", "service_account_token"]

NAMESPACE, SERVICE_ACCOUNT, REVIEWER = "imaging", "locutus", "reviewer-token"
_UID = "9f3b1c2e-0000-4000-8000-000000000001"


def service_account_token(serial: int) -> str:
    """A token as a pod finds it; nobody checks its signature but the server of reviews."""

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["https://kubernetes.default.svc.cluster.local"],
        "iat": int(time.time()) - 60,
        "nbf": int(time.time()) - 60,
        "exp": int(time.time()) + 3600,
        "jti": str(serial),
        "sub": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
        "kubernetes.io": {
            "namespace": NAMESPACE,
            "serviceaccount": {"name": SERVICE_ACCOUNT, "uid": _UID},
        },
    }
    header = {"alg": "RS256", "kid": "test"}
    return f"{part(header)}.{part(claims)}.{base64.urlsafe_b64encode(b'signed').decode()}"


def review_server(known: set[str]) -> AnsweringServer:
    """A server that reviews tokens: those in `known` are the service account's."""

    def answer(path: str, body: Any) -> tuple[int, bytes]:
        if not path.startswith("/apis/authentication.k8s.io/v1/tokenreviews"):
            return 404, b"{}"
        status: dict[str, object] = {"authenticated": False, "error": "invalid bearer token"}
        if body["spec"]["token"] in known:
            status = {
                "authenticated": True,
                "audiences": body["spec"].get("audiences", []),
                "user": {
                    "username": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
                    "uid": _UID,
                    "groups": ["system:serviceaccounts"],
                },
            }
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
        return 201, json.dumps(review).encode()

    return AnsweringServer(answer)
