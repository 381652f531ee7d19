"""Signed requests that make a bucket or a container.

object_store can't make one, and a whole SDK for one request would be a lot to install.
"""

import base64
import hashlib
import hmac
import http.client
import json
import urllib.parse
from datetime import datetime, timezone
from email.utils import formatdate

TIMEOUT_S = 10
# What a server answers for what it has already.
CONFLICT = 409


class Refused(Exception):
    pass


def request(method, url, headers=(), body=b""):
    """The status, where it is a success or says that the thing is there already."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {"content-length": str(len(body)), **dict(headers)})
        answer = connection.getresponse()
        text = answer.read(2000)
    finally:
        connection.close()
    if answer.status >= 300 and answer.status != CONFLICT:
        raise Refused(f"{method} {url}: {answer.status} {text.decode(errors='replace')}")
    return answer.status


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def make_s3_bucket(endpoint, bucket, access_key_id, secret_access_key, region):
    """AWS signature version 4 over a request without a body or a query."""
    now = datetime.now(timezone.utc)
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": urllib.parse.urlsplit(endpoint).netloc,
        "x-amz-content-sha256": digest,
        "x-amz-date": moment,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"PUT\n/{bucket}\n\n{lines}\n{names}\n{digest}"
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret_access_key}".encode()
    for part in scope.split("/"):
        key = mac(key, part)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={mac(key, to_sign).hex()}"
    )
    request("PUT", f"{endpoint}/{bucket}", headers)


def make_azure_container(endpoint, container, account, account_key):
    """A shared key signature; the emulator's path names the account, so it appears twice in what is signed."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    # Eleven standard headers lie between the method and these; none of them is sent with a value.
    to_sign = "PUT" + "\n" * 12 + f"{lines}/{account}/{account}/{container}\nrestype:container"
    signature = base64.b64encode(mac(base64.b64decode(account_key), to_sign)).decode()
    headers["authorization"] = f"SharedKey {account}:{signature}"
    request("PUT", f"{endpoint}/{account}/{container}?restype=container", headers)


def make_gcs_bucket(endpoint, bucket):
    """The fake server asks for no signature."""
    body = json.dumps({"name": bucket}).encode()
    request("POST", f"{endpoint}/storage/v1/b", {"content-type": "application/json"}, body)
