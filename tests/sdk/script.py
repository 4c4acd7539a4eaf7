"""What the scripted provider says, in neither dialect: a plain function of what it was asked. The files
`provider_openai.py` and `provider_anthropic.py` read a request into an `Asked` and write the `Reply`, each in its own
dialect, so that whatever a client asks for, both kinds of target say the same."""

import json
import re
from dataclasses import dataclass, field

WORDS = ["Hello", ", ", "wörld", " 😀"]
WEATHER = {"city": "Köln", "days": 3}
THOUGHTS = ["They want ", "a greeting."]
INPUT_TOKENS = 11
OUTPUT_TOKENS = 7
#: Counted apart from the input, where the request has to do with a cache.
CACHE_READ_TOKENS = 20
CACHE_WRITE_TOKENS = 5
RETRY_AFTER_SECS = 7


class Refused(Exception):
    """The request is wrong: the message says where and how."""


def require(holds: object, message: str) -> None:
    if not holds:
        raise Refused(message)


@dataclass
class Asked:
    """A request, as far as the script cares."""

    #: The last text of the last user turn.
    said: str = ""
    #: Media types of the last user turn's images and documents.
    attachments: list[str] = field(default_factory=list)
    #: Texts of the tool results that end the conversation.
    results: list[str] = field(default_factory=list)
    #: The tool to call unless `said` names another.
    tool: str | None = None
    #: The request insists on the call: there is nothing to say before it.
    forced: bool = False
    wants_json: bool = False
    thinks: bool = False
    stops: list[str] = field(default_factory=list)
    #: The most words of the answer, one word being one token here.
    limit: int | None = None

    @property
    def failure(self) -> int | None:
        """`fail with 429`: the status to answer with."""
        found = re.fullmatch(r"fail with (\d{3})", self.said)
        return int(found[1]) if found else None

    @property
    def breaks_off(self) -> bool:
        """Says two words, then that it is overloaded."""
        return self.said == "break off"

    @property
    def hangs_up(self) -> bool:
        """Says two words, then closes the connection."""
        return self.said == "hang up"


@dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclass
class Reply:
    thoughts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    #: `stop`, `length`, `sequence` or `call`.
    end: str = "stop"
    sequence: str | None = None


def reply(asked: Asked) -> Reply:
    """`use NAME with {…}` calls that tool, `call twice` calls one tool twice, everything else is up to the request."""
    answer = Reply(thoughts=list(THOUGHTS) if asked.thinks else [])
    if asked.results:
        answer.words = ["It said: ", *asked.results]
    elif asked.tool is not None:
        order = re.fullmatch(r"use (\w+) with (\{.*\})", asked.said, re.DOTALL)
        name, arguments = (order[1], json.loads(order[2])) if order else (asked.tool, WEATHER)
        count = 2 if asked.said == "call twice" else 1
        answer.words = [] if asked.forced else ["Let me ", "look."]
        answer.calls = [Call(f"call_{n + 1}", name, arguments) for n in range(count)]
        answer.end = "call"
    elif asked.wants_json:
        answer.words = [json.dumps(WEATHER)]
    elif asked.attachments:
        answer.words = ["I see ", " and ".join(asked.attachments)]
    else:
        cut(asked, answer)
    return answer


def cut(asked: Asked, answer: Reply) -> None:
    """The greeting, up to a stop sequence or the limit."""
    for word in WORDS:
        if asked.limit is not None and len(answer.words) == asked.limit:
            answer.end = "length"
            return
        if word in asked.stops:
            answer.end, answer.sequence = "sequence", word
            return
        answer.words.append(word)
