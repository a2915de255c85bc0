# SPDX-License-Identifier: MIT
import pytest

from shoal import AddressError
from shoal._url import Address, check_name, is_server_url, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("shoal://app", Address("app")),
        ("shoal:///app", Address("app")),
        ("shoal://app/", Address("app")),
        ("SHOAL://App", Address("App")),
        ("shoal://MyApp.v2_x-1/15", Address("MyApp.v2_x-1", 15)),
        ("shoal:///app/3?db=3", Address("app", 3)),
        ("shoal://app?db=7", Address("app", 7)),
        (
            "shoal://app?max_size=2GiB&mode=0660&create=no",
            Address("app", 0, {"max_size": 2 << 30, "mode": 0o660, "create": False}),
        ),
        ("shoal://app?max_size=512m", Address("app", 0, {"max_size": 512 << 20})),
        (
            "shoal://app/1?decode_responses=true&protocol=2",
            Address("app", 1, {"decode_responses": True, "protocol": 2}),
        ),
    ],
)
def test_a_url_names_a_segment_a_database_and_options(url, address):
    assert parse(url) == address


def test_the_name_keeps_its_case():
    assert parse("shoal://AbC").name == "AbC"


@pytest.mark.parametrize(
    ("url", "what", "remedy"),
    [
        ("app", 'no "://"', "write shoal://NAME"),
        ("http://app", '"http://" is not known', "write shoal://NAME"),
        ("shoal://", "name is missing", "shoal://NAME"),
        ("shoal:///", "name is missing", "shoal://NAME"),
        ("shoal://app:6379", '"app:6379" cannot name a segment', "use 1 to 64 letters"),
        ("shoal://../x", '".." cannot name a segment', "use 1 to 64 letters"),
        ("shoal://a%2Fb", '"a/b" cannot name a segment', "use 1 to 64 letters"),
        ("shoal://app/16", '"16" is not a database', "numbered 0 to 15"),
        ("shoal://app/x", '"x" is not a database', "numbered 0 to 15"),
        ("shoal://app/1/2", '"/2" stands after the database', "write shoal://NAME/DB"),
        ("shoal://app/1?db=2", 'path says database "1"', "keep one"),
        ("shoal://app?max_sise=1", 'option "max_sise" is not known', 'did you mean "max_size"?'),
        ("shoal://app?zzz=1", 'option "zzz" is not known', "known are "),
        ("shoal://app?max_size=big", 'max_size has the value "big"', "write bytes, or a size such as"),
        ("shoal://app?mode=rw", 'mode has the value "rw"', "octal"),
        ("shoal://app?create=maybe", 'create has the value "maybe"', "write true or false"),
        ("shoal://app?shards=-1", 'shards has the value "-1"', "whole number"),
        ("shoal://app?protocol=4", 'protocol has the value "4"', "write 2 or 3"),
        ("shoal://app?create=1&create=0", '"create" stands there twice', "keep one"),
        ("shoal://app#x", 'there is a "#"', "leave the fragment out"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place_and_a_remedy(url, what, remedy):
    with pytest.raises(AddressError) as caught:
        parse(url)
    text = str(caught.value)
    assert repr(url) in text
    assert what in text
    assert remedy in text
    assert isinstance(caught.value, ValueError)


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(AddressError) as caught:
        parse("shoal://me:secret@app#x")
    assert "secret" not in str(caught.value)
    assert "leave user and password out" in str(caught.value)


def test_a_caller_may_add_options_of_its_own():
    assert parse("shoal://app?prefetch=4", {"prefetch": int}).options == {"prefetch": 4}


@pytest.mark.parametrize(
    "url", ["shoal://App/3?mode=0640&create=false&max_size=1048576", "shoal://app", "shoal://app/1"]
)
def test_an_address_prints_as_a_url_that_reads_as_itself(url):
    assert str(parse(url)) == url
    assert parse(str(parse(url))) == parse(url)


@pytest.mark.parametrize("url", ["redis://localhost:6379/0", "rediss://host", "unix:///run/redis.sock", "REDIS://h"])
def test_urls_of_a_server_are_told_apart(url):
    assert is_server_url(url)
    assert not is_server_url("shoal://app")


@pytest.mark.parametrize("name", ["", ".a", "..", "a b", "a/b", "ä", "x" * 65, "a\n"])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    with pytest.raises(AddressError):
        check_name(name)
