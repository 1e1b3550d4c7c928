from __future__ import annotations

import hashlib

from sophia_operator.core.cache.users import users_file

_PASSWORDS = {"client": "of-applications", "admin": "of-us", "replicator": "of-replicas", "prober": "of-probes é"}


def test_no_password_is_in_it() -> None:
    text = users_file("hot", **_PASSWORDS)
    for password in _PASSWORDS.values():
        assert password not in text
        assert hashlib.sha256(password.encode()).hexdigest() in text


def test_whoever_does_not_say_who_he_is_may_nothing() -> None:
    first, *others = users_file("hot", **_PASSWORDS).splitlines()
    assert first == "user default off resetchannels -@all"
    assert [line.split()[1] for line in others] == ["sophia-admin", "sophia-probe", "sophia-replica", "hot-client"]
    assert all(line.split()[2] == "on" for line in others)
    assert not any("nopass" in line for line in others)


def test_each_password_belongs_to_one_user() -> None:
    before = users_file("hot", **_PASSWORDS).splitlines()
    for name in _PASSWORDS:
        after = users_file("hot", **(_PASSWORDS | {name: "another"})).splitlines()
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
