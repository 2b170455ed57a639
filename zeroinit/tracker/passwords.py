"""Hides passwords in what is printed, stored or written: those in uris, and those whose names say what they are."""

import os
import re
import sys
from collections.abc import Iterator

from zeroinit.environment import is_secret

HIDDEN = "***"  # is shown in the place of a password
MIN_SECRET = 6  # characters of a value that is hidden wherever it occurs; a shorter one may be a part of a word
NAME = r"(?:pass(?:word|wd|phrase)|pwd|token|secret|credentials?|(?:api|access|private|secret)[_-]?key)"
NO_SECRETS = ("", "true", "false", "null", "none")  # values that are those of an option, such as `class_token=true`
NO_OPTION = rf"(?!(?:{'|'.join(NO_SECRETS[1:])})\b)"
QUOTED = r"""'[^']*'|"[^"]*\""""
# a value after the name of a secret: in a query or an override, and in a dict
GIVEN = re.compile(rf"""({NAME}=){NO_OPTION}({QUOTED}|[^&\s'"]+?(?=:?(?:[&\s'"]|$)))""", re.IGNORECASE)
IN_DICT = re.compile(rf"""([{{,]\s*['"]?[\w.-]*{NAME}['"]?\s*:\s*){NO_OPTION}({QUOTED}|[^\s'",}}]+)""", re.IGNORECASE)
# user and password: a password may have a slash if a user stands before it, as in postgresql://me:a/b@host, and blanks
# if a host and a slash follow
USER_IN_TEXT = re.compile(
    r"(\w://)(?:[^\s/:@]+:(?![\d\s])[^\n]*@(?=[\w.-]+(?::\d+)?/)|[^\s/:@]*:\S*@|[^\s/]*@)",
)
USER_IN_URI = re.compile(r"(\w://)(?:[^/:@]*:.*@|[^/]*@)", re.DOTALL)
QUERY_IN_URI = re.compile(rf"""([?&][^=&]*{NAME}=)[^&]*?(?=&|['"\])}}]*$)""", re.IGNORECASE)
OVERRIDE_KEY = re.compile(r"[+~]{0,2}[\w./@-]+")


def mask_uri(uri: str) -> str:
    """Return a uri, or a word of a command that has one, with `***` for user and password, and for secrets in it.

    As the whole of it is known, a password may have blanks, and any other character.
    """
    return _mask_given(QUERY_IN_URI.sub(rf"\1{HIDDEN}", USER_IN_URI.sub(rf"\1{HIDDEN}@", uri)))


def mask_word(word: str) -> str:
    """Return a word of a command, such as an override, without passwords, and without the value of a secret."""
    key, equals, value = word.partition("=")
    node, _, name = key.rpartition(".")
    is_named = is_secret(name) if node.endswith("env_set") else re.search(f"{NAME}$", name, re.IGNORECASE)
    if equals and OVERRIDE_KEY.fullmatch(key) and is_named and value.lower() not in NO_SECRETS:
        return f"{key}={HIDDEN}"
    return mask_uri(word)


def without_password(text: str) -> str:
    """Return any text with `***` for user and password of each uri, and for what the name of a secret stands before.

    Passwords of this command and its environment are hidden in whatever form they have there, blanks included.
    """
    for secret, masked in _known_secrets():
        text = text.replace(secret, masked)
    return _mask_given(USER_IN_TEXT.sub(rf"\1{HIDDEN}@", text))


def _mask_given(text: str) -> str:
    return IN_DICT.sub(rf"\1{HIDDEN}", GIVEN.sub(rf"\1{HIDDEN}", text))


def _known_secrets() -> Iterator[tuple[str, str]]:
    """Yield (text, what is shown for it) for the words of this command and the variables that have passwords."""
    for word in sys.argv[1:]:
        if (masked := mask_word(word)) != word:
            yield word, masked
            value = word.partition("=")[2].strip("'\"")
            if len(value) >= MIN_SECRET:
                yield value, mask_uri(value) if "://" in value else HIDDEN
    for name, value in os.environ.items():
        if is_secret(name):
            if len(value) >= MIN_SECRET:
                yield value, HIDDEN
        elif "://" in value and (masked := mask_uri(value)) != value:
            yield value, masked


def is_known_secret(value: str) -> bool:
    """Return whether the value is that of an environment variable that holds a secret, judged by its name."""
    return len(value) >= MIN_SECRET and any(is_secret(name) and value == secret for name, secret in os.environ.items())
