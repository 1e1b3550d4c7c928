"""Which users and passwords PgBouncer can work with."""

from __future__ import annotations

import re
from typing import Final

from sophia_operator.core.pool import names
from sophia_operator.core.pool.views import Access

#: PostgreSQL cuts longer names short.
_MAX_USER_BYTES: Final = 63
#: PgBouncer's limit, of the password as it stands in the list of users.
_MAX_PASSWORD_BYTES: Final = 2047
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def unusable(access: Access) -> str | None:
    """Why PgBouncer could not connect to the server as that user, and what to do; None when it can.

    What is said holds nothing of the Secret.
    """
    return _user_problem(access.username, access.client_username) or _password_problem(access.password)


def _user_problem(user: str, client_user: str) -> str | None:
    if not user:
        return "the user's name is empty; write it into the Secret"
    if user == names.ADMIN:
        return f"the user is called {names.ADMIN}, as the operator's own at PgBouncer; give the pool another user"
    if user == client_user:
        return f"the user is called {user}, as the one that applications use at PgBouncer; give the pool another user"
    if _CONTROL.search(user):
        return "the user's name holds a line break or another control character; `echo -n` and `printf` add none"
    if len(user.encode()) > _MAX_USER_BYTES:
        return f"the user's name has more than {_MAX_USER_BYTES} bytes, which PostgreSQL does not allow; shorten it"
    return None


def _password_problem(password: str) -> str | None:
    if not password:
        return "the password is empty; write it into the Secret"
    if "\x00" in password:
        return "the password holds a null character, which PostgreSQL does not allow; choose another one"
    if len(password.replace('"', '""').encode()) > _MAX_PASSWORD_BYTES:
        return f"the password has more than {_MAX_PASSWORD_BYTES} bytes, which PgBouncer does not take; shorten it"
    if re.fullmatch("md5[0-9a-f]{32}", password) or password.startswith("SCRAM-SHA-256$"):
        return "the password is, or looks like, a hash; the pool needs the password itself, or another one"
    return None
