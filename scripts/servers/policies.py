"""Applies the S3 policies of docs/security.md, as they stand there, and uses the store as each role."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import botocore.exceptions
import botocore.session

BUCKET = "kaffic"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20


def page_policies():
    """The policies of the page by name."""
    page = (ROOT / "docs/security.md").read_text()
    found = re.findall(r"<!-- policy: (\S+) -->\n```json\n(.*?)```", page, re.DOTALL)
    return {name: json.loads(text.replace("BUCKET", BUCKET)) for name, text in found}


class Store:
    def __init__(self, program):
        self.program = program
        self.options = dict(pair.split("=", 1) for pair in os.environ["KAFFIC_TEST_S3_OPTIONS"].split(","))
        self.owner = (self.options.pop("access_key_id"), self.options.pop("secret_access_key"))

    def client(self, service, keys=None):
        access, secret = keys or self.owner
        return botocore.session.get_session().create_client(
            service,
            endpoint_url=self.options["endpoint"],
            region_name=self.options["region"],
            aws_access_key_id=access,
            aws_secret_access_key=secret,
        )

    def user(self, name, policy):
        """A user with just this policy; the keys."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="kaffic", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys = key["AccessKeyId"], key["SecretAccessKey"]
        # A server may take a moment to know a new user.
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.client("s3", keys).list_objects_v2(Bucket=BUCKET, MaxKeys=1)
                return keys
            except botocore.exceptions.ClientError as error:
                if time.monotonic() > until:
                    raise AssertionError(f"{name} may not even list: {error}") from error
                time.sleep(0.2)

    def run(self, keys, *args, stdin=b""):
        """Exit code, output and errors of the command."""
        options = dict(self.options, access_key_id=keys[0], secret_access_key=keys[1])
        environment = dict(
            os.environ,
            KAFFIC_STORE=f"s3://{BUCKET}/logs",
            KAFFIC_STORE_OPTIONS=",".join(f"{key}={value}" for key, value in options.items()),
        )
        done = subprocess.run(
            [self.program, *args], input=stdin, capture_output=True, env=environment, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr.decode()

    def may(self, keys, *args, stdin=b""):
        code, output, errors = self.run(keys, *args, stdin=stdin)
        assert code == 0, f"{args} should be allowed: {errors}"
        return output

    def may_not(self, keys, *args, stdin=b"", names):
        code, _, errors = self.run(keys, *args, stdin=stdin)
        assert code == 1, f"{args} should be forbidden, and ended with {code}: {errors}"
        for name in ("denied", names):
            assert name in errors.lower(), f"{args}: {name!r} is missing in: {errors}"
        print(f"  forbidden: kaffic {' '.join(args)}\n    {errors.splitlines()[0]}")


def roles(store, policies):
    admin = store.user("admin", policies["s3-admin"])
    producer = store.user("producer", policies["s3-producer"])
    consumer = store.user("consumer", policies["s3-consumer"])
    member = store.user("member", policies["s3-group"])

    for topic in ("orders", "other"):
        store.may(admin, "topic", "create", topic)
        store.may(admin, "produce", topic, stdin=b"by the admin\n")

    print("producer:")
    store.may(producer, "produce", "orders", stdin=b"by the producer\n")
    store.may_not(producer, "produce", "other", stdin=b"x\n", names="other/0/")
    store.may_not(producer, "topic", "create", "third", names="meta/topics/third")
    data = "logs/data/orders/0/00000/000000000/000/000"
    try:
        store.client("s3", producer).delete_object(Bucket=BUCKET, Key=data)
        raise AssertionError("a producer could delete a record")
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error

    print("consumer:")
    expected = b"by the admin\nby the producer\n"
    assert store.may(consumer, "consume", "orders") == expected
    store.may_not(consumer, "consume", "other", names="other/0/")
    store.may_not(consumer, "produce", "orders", stdin=b"x\n", names="meta/probe/")
    store.may_not(consumer, "topic", "delete", "orders", names="meta/probe/")

    store.may_not(consumer, "consume", "orders", "--group", "billing", names="meta/probe/")

    print("member of a group:")
    assert store.may(member, "consume", "orders", "--group", "billing") == expected
    assert store.may(member, "consume", "orders", "--group", "billing") == b"", "nothing was committed"
    store.may(member, "group", "describe", "billing")
    store.may(member, "group", "reset", "billing", "--topic", "orders", "--to", "earliest")
    assert store.may(member, "consume", "orders", "--group", "billing") == expected
    store.may_not(member, "consume", "orders", "--group", "other", names="meta/groups/other/")
    store.may_not(member, "produce", "orders", stdin=b"x\n", names="orders/0/")

    print("admin:")
    assert store.may(admin, "consume", "orders") == expected, "something was written that was forbidden"
    store.may(admin, "verify", "orders")
    store.may(admin, "topic", "delete", "other")


def enforced_condition(store, policy):
    """Puts without the condition have to fail, those with it to succeed, where the server knows the condition."""
    s3 = store.client("s3")
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))

    def put(key, **condition):
        try:
            s3.put_object(Bucket=BUCKET, Key=f"logs/data/{key}", Body=b"x", **condition)
            return True
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied", error
            return False

    plain, conditional = put("plain"), put("conditional", IfNoneMatch="*")
    if not plain and conditional:
        print("s3-if-none-match: enforced")
    else:
        said = f"a plain put {'succeeds' if plain else 'fails'}, a conditional {'succeeds' if conditional else 'fails'}"
        print(f"s3-if-none-match: NOT TRIED, this server does not know the condition key ({said})")
    s3.delete_bucket_policy(Bucket=BUCKET)


def main():
    policies = page_policies()
    assert set(policies) == {"s3-consumer", "s3-group", "s3-producer", "s3-admin", "s3-if-none-match"}, set(policies)
    store = Store(sys.argv[1])
    roles(store, policies)
    enforced_condition(store, policies["s3-if-none-match"])
    print("the policies hold")


main()
