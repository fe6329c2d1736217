"""moto's real S3 server on a free port of loopback, and a client to fill its buckets with."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
from minio import Minio
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer


@dataclass
class S3:
    endpoint: str

    @property
    def _client(self) -> Minio:
        host = self.endpoint.removeprefix("http://")
        return Minio(host, "testing", "testing", secure=False, region="us-east-1")

    def boto(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def bucket(self, name: str, *, versioned: bool = False) -> None:
        self._client.make_bucket(name)
        if versioned:
            self.boto("s3").put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )

    def put(
        self, bucket: str, key: str, body: str | bytes = "# T\n\nText.", kind: str = ""
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        more = {"content_type": kind} if kind else {}
        self._client.put_object(bucket, key, io.BytesIO(data), len(data), **more)

    def fill(self, bucket: str, count: int) -> None:
        """Many small objects, put straight into the server, which runs in this process."""
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for number in range(count):
            backend.put_object(bucket, f"many/{number}.md", b"x")

    def archive(self, bucket: str, key: str) -> None:
        self.boto("s3").put_object(Bucket=bucket, Key=key, Body=b"cold", StorageClass="GLACIER")

    def remove(self, bucket: str, key: str) -> None:
        self._client.remove_object(bucket, key)

    def user(self, name: str, *actions: str) -> tuple[str, str]:
        """An access key that may do these actions."""
        iam = self.boto("iam")
        iam.create_user(UserName=name)
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    @contextlib.contextmanager
    def checks_keys(self) -> Iterator[None]:
        """From here on every request is authenticated and authorized, as at AWS."""
        httpx.post(f"{self.endpoint}/moto-api/reset-auth", content=b"0")
        try:
            yield
        finally:
            httpx.post(f"{self.endpoint}/moto-api/reset-auth", content=b"inf")


@contextlib.contextmanager
def s3_server() -> Iterator[S3]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3 = S3(f"http://{host}:{port}")
    try:
        yield s3
    finally:
        server.stop()


def reset(s3: S3) -> None:
    httpx.post(f"{s3.endpoint}/moto-api/reset")
