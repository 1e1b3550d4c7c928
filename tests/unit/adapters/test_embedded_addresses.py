"""An IPv4 address is found in every form of IPv6 that leads to it, and no receiver is at a metadata service."""

from __future__ import annotations

import ipaddress

import pytest

from sophia_operator.adapters.embedded_addresses import leads_to
from sophia_operator.adapters.signals_hosts import allowed, is_allowed

METADATA = ipaddress.ip_address("169.254.169.254")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "2001:0:c000:201:0:0:5601:5601",  # Teredo: of a client, with each bit turned over
        "2001:0:a9fe:a9fe:0:0:3fff:fdfe",  # Teredo: of a server
        "2001:db8::5efe:a9fe:a9fe",  # ISATAP
        "2001:db8::200:5efe:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",  # by a prefix of 48 bits
        "64:ff9b:1:77a9:fe:a9fe::",  # of 56
        "64:ff9b:1:7777:a9:fea9:fe00:0",  # of 64
        "64:ff9b:1:7777:a9:fea9:fe00:0%eth0",
    ],
)
def test_the_metadata_service_is_found_in_each_form(address: str) -> None:
    assert METADATA in leads_to(address)
    assert not is_allowed(address)
    assert allowed(["192.0.2.1", address]) == []


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "10.0.0.7", "127.0.0.1", "::1", "2001:db8::1", "fd00::7", "::ffff:10.0.0.7", "::10.0.0.7",
     "64:ff9b::a00:7", "64:ff9b:1::a00:7", "2002:a00:7::1", "::ffff:0:10.0.0.7", "2001:db8::5efe:a00:7",
     "2001:0:c000:201::3fff:fdfe"],
)  # fmt: skip
def test_other_addresses_may_be_receivers(address: str) -> None:
    assert is_allowed(address)
    assert leads_to(address)[0] == ipaddress.ip_address(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1", "fd00:ec2::254"])
def test_what_is_no_host_is_no_receiver(address: str) -> None:
    assert not is_allowed(address)


def test_a_word_is_no_address() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        leads_to("localhost")
