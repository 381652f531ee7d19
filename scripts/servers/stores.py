"""Opens what a KAFFIC_TEST_…_URL and its _OPTIONS name, by the Python binding of the crate that kaffic uses.

So a server counts as started when the client that the tests will use has written to it.
"""

from datetime import timedelta

from obstore.store import from_url


def text_of(options):
    return ",".join(f"{key}={value}" for key, value in options.items())


def options_of(text):
    """Values may hold an equals sign, as base64 does; none holds a comma."""
    return dict(pair.split("=", 1) for pair in text.split(",") if pair)


def opened(url, options, retries=0):
    config = dict(options)
    client_options = {"timeout": timedelta(seconds=30)}
    if config.pop("allow_http", "") == "true":
        client_options["allow_http"] = True
    if "path_style" in config:
        config["virtual_hosted_style_request"] = str(config.pop("path_style") != "true").lower()
    return from_url(url, config=config, client_options=client_options, retry_config={"max_retries": retries})
