"""Sentences of the documentation are short: none has more than 25 words."""

import re

import pytest
from helpers.pages import FENCES, PAGES, read_page

MAX_WORDS = 25


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a page: of its paragraphs, items and cells, without code, headings and links' targets."""
    text = re.sub(r"<br>", "\n\n", text)
    text = re.sub(r"<!--.*?-->|<[^>]+>", " ", FENCES.sub("", text), flags=re.DOTALL)
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\n\n\1\n\n", text)
    text = re.sub(r"\[([^\[\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^(?: {4}|\t)[^-\s].*$|^#+ .*$|^:::.*$|^\|?[-| :]+\|$", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^ *(?:[-*]|\d+\.|:) +", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r" *\| *", "\n\n", text)
    text = re.sub(r"`[^`]*`", "code", text).replace("**", "").replace("*", "")
    sentences = []
    for paragraph in re.split(r"\n\s*\n", text):
        sentences += re.split(r"(?<=[.!?])[)\"]?\s+", " ".join(paragraph.split()))
    return [sentence for sentence in sentences if sentence]


def count_words(sentence: str) -> int:
    """Return the number of words. A number is a word, with its interval."""
    return len([word for word in re.sub(r" ± \S+", "", sentence).split() if re.search(r"\w", word)])


def long_sentences(page: str) -> list[str]:
    """Return the sentences with more than MAX_WORDS words."""
    return [sentence for sentence in sentences_of(read_page(page)) if count_words(sentence) > MAX_WORDS]


def test_a_sentence_is_counted() -> None:
    text = "# A head\n\nOne `two three` four. Five [six](seven eight)!\n\n- Nine\n  ten.\n\n```sh\nnot counted\n```\n"
    assert sentences_of(text) == ["One code four.", "Five six!", "Nine ten."]
    assert [count_words(sentence) for sentence in sentences_of(text)] == [3, 2, 2]


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_is_long(page: str) -> None:
    assert long_sentences(page) == []
