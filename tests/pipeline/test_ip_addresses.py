"""Public IP addresses: the edges of special networks, and embedded addresses."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.url import is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "2001:4860:4860::8888", "2a00:1450::1"]


@pytest.mark.parametrize("number", PUBLIC)
def test_what_is_public(number: str) -> None:
    assert is_public(ipaddress.ip_address(number))


# Ends of the networks of the IANA registries (IPv4 and IPv6 Special-Purpose Address Space), and their neighbours.
EDGES = {
    "0.255.255.255": False, "1.0.0.0": True, "9.255.255.255": True, "11.0.0.0": True, "100.63.255.255": True,
    "100.128.0.0": True, "168.63.129.15": True, "168.63.129.16": False, "168.63.129.17": True,
    "169.253.255.255": True, "169.255.0.0": True, "191.255.255.255": True, "192.0.0.192": False, "192.0.1.0": True,
    "192.0.0.255": False, "192.88.98.255": True, "192.88.99.1": False, "192.88.100.0": True, "198.17.255.255": True,
    "198.20.0.0": True, "223.255.255.255": True, "3ffe:ffff::1": True, "3fff::1": False, "3fff:fff::1": False,
    "3fff:1000::": True, "2001:1ff::1": False, "2001:200::1": True, "2001:20::1": False, "2001:2::1": False,
    "5f00::1": False, "100::1": False, "fd00:ec2::254": False, "2002:808:808::1": True, "2002:a9fe:a9fe::1": False,
    "2001:0:808:808::f7f7:f7f7": True, "2001:0:808:808::f5ff:fffe": False, "2001:0:a00:1::f7f7:f7f7": False,
    "64:ff9b::808:808": True, "64:ff9b::a83f:8110": False, "64:ff9b:1::808:808": False, "::ffff:8.8.8.8": True,
    "::ffff:192.0.0.192": False, "::8.8.8.8": True, "::10.0.0.1": False, "::1": False, "::": False,
}  # fmt: skip


@pytest.mark.parametrize(("number", "public"), EDGES.items())
def test_edges_of_special_networks(number: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(number)) is public


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    v6 = isinstance(number, ipaddress.IPv6Address) and (number.ipv4_mapped or number.sixtofour or number.teredo)
    if is_public(number) and not v6 and not (number.version == 6 and int(number) >> 32 in (0, 0x64FF9B << 64)):
        assert number.is_global and not number.is_multicast


@given(st.ip_addresses(v=4), st.integers(0, 2**32 - 1))
def test_an_address_that_embeds_a_private_one_is_not_public(inner: ipaddress.IPv4Address, rest: int) -> None:
    carriers = [
        (0x2002 << 112) + (int(inner) << 80) + rest,
        (0x20010000 << 96) + (int(inner) << 64) + rest,
        (0x20010000 << 96) + (0x08080808 << 64) + (int(inner) ^ 0xFFFFFFFF),
        (0x64FF9B << 96) + int(inner),
        (0xFFFF << 32) + int(inner),
        int(inner),
    ]
    assert not any(is_public(ipaddress.IPv6Address(number)) and not is_public(inner) for number in carriers)
