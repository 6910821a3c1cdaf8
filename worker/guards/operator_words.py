"""Whether what an operator wrote, an intent or a reason, can be kept. Source: contract §6."""

import unicodedata

from worker.contracts.errors import Reason, Refusal
from worker.guards.limits import refuse
from worker.guards.secrets import secret_problems

MAX_CHARS = 500
"""As many as the payload takes."""

_BREAKS = frozenset("\n\r\t")
_UNKEPT = frozenset({"Cc", "Cs"})
"""Unicode categories that no JSON column gives back whole: control characters, NUL among them, and half characters."""


def require_words(words: object, *, name: str, reason: Reason, subject: str) -> str:
    """`words`, once they are a text that says something, fits its place, and holds no secret.

    Raises: `Refusal` with `reason`, or with `validation/secret_found`; the words themselves are never repeated.
    """
    if not isinstance(words, str):
        raise Refusal(reason, f"{subject} needs its {name} as a text, found a {type(words).__name__}; write one")
    if not any(one.isprintable() and not one.isspace() for one in words):
        raise Refusal(reason, f"{subject} needs the {name} in words, found {len(words)} blank characters; write one")
    if len(words) > MAX_CHARS:
        raise Refusal(reason, f"{subject} takes {MAX_CHARS} characters of {name}, found {len(words)}; shorten it")
    if any(unicodedata.category(one) in _UNKEPT and one not in _BREAKS for one in words):
        raise Refusal(reason, f"{subject} has characters in its {name} that no text has; write it again by hand")
    refuse(Reason.SECRET_FOUND, secret_problems({name: words}), subject=subject)
    return words
