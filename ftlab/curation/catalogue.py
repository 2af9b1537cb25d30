"""Everything that the doctor looks for: how bad it is, why it hurts, and how to mend it.

    secrets    error    passwords, keys and tokens
    why        a model repeats what it was trained on, to anyone who asks
    mend       revoke the key where it was issued, then take it out; --fix drops the record

An error makes training or its score go wrong; a warning is often a fault; a note is worth knowing.

>>> CHECKS["blank_lines"].severity
'note'
"""

from typing import NamedTuple

__all__ = ["CHECKS", "SEVERITIES", "Check"]

SEVERITIES = ("error", "warning", "note")


class Check(NamedTuple):
    """One kind of fault."""

    severity: str
    what: str
    why: str
    mend: str


CHECKS: dict[str, Check] = {
    # The file.
    "not_utf8": Check(
        "error", "bytes that are not UTF-8",
        "No reader of JSONL accepts them, or each guesses another character.",
        "Save the file as UTF-8; --fix reads such lines as Windows-1252.",
    ),
    "bom": Check(
        "warning", "a byte-order mark before the first line",
        "Many readers take it for a character, and the first line is then no JSON.",
        "Save as UTF-8 without BOM; --fix takes it away.",
    ),
    "empty_file": Check(
        "error", "no record in the file",
        "There is nothing to learn from.",
        "Check the path, and the step that wrote the file.",
    ),
    "blank_lines": Check(
        "note", "blank lines between records",
        "Some upload services refuse them.",
        "Take them out; --fix does.",
    ),
    "huge_line": Check(
        "warning", "lines of more than 1 MB, not examined further",
        "No model's context holds one; it is mostly a file that was pasted into a record.",
        "Cut the record into several, or drop it; --fix drops it.",
    ),
    "json_array": Check(
        "error", "the file is one JSON array, not lines",
        "JSONL wants one object on each line.",
        "jq -c '.[]' FILE; --fix writes an array's items as lines.",
    ),
    "broken_json": Check(
        "error", "lines that are not JSON",
        "The reader stops here, or drops the example without a word.",
        "Mostly a cut end, single quotes or a comma too many: write lines with a JSON library. "
        "--fix drops them.",
    ),
    "mixed_formats": Check(
        "warning", "records in another format than most",
        "Most trainers decide by the first line, and lose or refuse the rest.",
        "Convert to one format; --fix writes messages.",
    ),
    # The structure of a record.
    "not_an_object": Check(
        "error", "lines whose JSON is not an object",
        "A record has named parts; a list or a bare text has none.",
        "Write one object a line; --fix drops them.",
    ),
    "unknown_format": Check(
        "error", "objects in none of the known formats",
        "Nothing says which part is asked and which is wanted.",
        "Name the keys messages; or prompt and completion; conversations; instruction and "
        "output. --fix drops them.",
    ),
    "unknown_role": Check(
        "error", "messages of an unknown role",
        "Templates write it as it is, or refuse: the model learns a turn that nobody asks for.",
        "Use system, user and assistant; --fix mends capitals and spaces, and drops the rest.",
    ),
    "wrong_order": Check(
        "error", "turns in the wrong order",
        "After at most one system message, user and assistant take turns, the user first. "
        "Strict templates refuse others, the rest teach a conversation that never happens.",
        "Join neighbouring turns of one role, or drop the record; --fix drops it.",
    ),
    "empty_content": Check(
        "error", "messages that are empty or only spaces",
        "An empty answer teaches to say nothing; an empty question, to answer nothing.",
        "Fill them in or drop the record; --fix drops it.",
    ),
    "no_assistant": Check(
        "error", "records that do not end with the assistant",
        "The last assistant turn is what is learned: without it there is no loss.",
        "Add the answer or drop the record; --fix drops it.",
    ),
    "not_text": Check(
        "error", "content that is not text",
        "Numbers, nulls, pictures, tool calls and half characters cannot be tokenised as text.",
        "Write the content as a string; --fix drops the record.",
    ),
    "bad_record": Check(
        "error", "objects that are no record for another reason",
        "Training stops at them.",
        "Read the message, correct or drop the line; --fix drops it.",
    ),
    "extra_keys": Check(
        "note", "keys that the format does not know",
        "Strict services refuse the file; other readers drop what is in them.",
        "Move what is known about a record into its meta; --fix does so with a record's own "
        "keys, and leaves out those of a message.",
    ),
    # The model's template.
    "no_template": Check(
        "error", "the tokenizer has no chat template",
        "Nothing says how a conversation is written for this model.",
        "Take the instruct version's tokenizer, or set tokenizer.chat_template.",
    ),
    "template_refuses": Check(
        "error", "records that the template does not render, or renders so that no mask is right",
        "Training stops at them, or learns the prompt.",
        "Read the message; change the record's turns or the template.",
    ),
    "system_unsupported": Check(
        "error", "records whose system message the template refuses or loses",
        "The model never sees what the system message says, or training stops.",
        "Put the system text at the start of the first user message.",
    ),
    "no_generation_markers": Check(
        "note", "the template has no {% generation %} markers",
        "A trainer told to learn from assistant turns only finds none.",
        "Train on prompt and completion, as ftlab does, or add the markers.",
    ),
    "double_bos": Check(
        "warning", "the template and the tokenizer each add a BOS token",
        "Text tokenised with the defaults begins with two, which no base model has seen.",
        "Tokenise rendered text with add_special_tokens=False, as ftlab does.",
    ),
    "end_token_missing": Check(
        "error", "records whose labels lack the token that ends a turn",
        "A model that never sees the end in its labels never stops.",
        "Set tokenizer.eos_token, or let the template end a turn with a special token.",
    ),
    "end_is_not_eos": Check(
        "warning", "a turn ends with another token than eos",
        "Generation that stops at eos alone runs on.",
        "Give generation the turn's end too, as ftlab does, or set tokenizer.eos_token.",
    ),
    "pad_is_eos": Check(
        "warning", "the pad token is the eos token",
        "A trainer that masks padding masks the stop token with it: the model never stops.",
        "Set another pad token, one the model never writes.",
    ),
    "no_supervised_tokens": Check(
        "error", "records without one token that carries loss",
        "They cost time and teach nothing; some trainers drop them without a word.",
        "Raise max_length, or shorten the prompt.",
    ),
    "truncated": Check(
        "error", "records longer than max_length",
        "Each loses the token that ends its answer: the model learns to break off or run on.",
        "Raise max_length, shorten or drop the record.",
    ),
    "special_tokens_in_text": Check(
        "warning", "text that spells the model's special tokens",
        "It is tokenised as the real thing: a user's text can end a turn or open another.",
        "Take it out or write it otherwise.",
    ),
    # Repetition.
    "exact_duplicates": Check(
        "warning", "records that stand earlier in the file, word for word",
        "The example weighs double, and a random split puts one copy on each side.",
        "Keep one; --fix does.",
    ),
    "near_duplicates": Check(
        "warning", "records whose input is nearly an earlier one's",
        "Less variety than the count says, and a random split leaks.",
        "Keep the better one, or split by group so that siblings stay together.",
    ),
    "contradictions": Check(
        "warning", "the same input with another output",
        "The model learns a coin toss; for labels, one of the two is wrong.",
        "Decide which is right, or add to the input what tells them apart.",
    ),
    "near_contradictions": Check(
        "note", "nearly the same input with another label",
        "Often an annotator's slip, sometimes the very boundary to learn.",
        "Read the pairs.",
    ),
    # Leakage.
    "leak_input": Check(
        "error", "inputs that are in the evaluation set too",
        "The score then measures memory.",
        "Take them out of the training file, and split by group next time.",
    ),
    "leak_input_near": Check(
        "warning", "inputs nearly the same as one in the evaluation set",
        "The score is then partly memory.",
        "Take them out of the training file, and split by near-duplicate cluster.",
    ),
    "leak_output": Check(
        "warning", "long outputs that are in the evaluation set too",
        "The answer was learned by heart, whatever the question.",
        "Keep all records of one source on one side.",
    ),
    "leak_output_near": Check(
        "warning", "long outputs nearly the same as one in the evaluation set",
        "The answer was nearly learned by heart.",
        "Keep all records of one source on one side.",
    ),
    "eval_bad_lines": Check(
        "error", "lines of the evaluation file that are no records",
        "They cannot be compared, nor scored.",
        "Run the doctor on the evaluation file itself.",
    ),
    # Content.
    "preamble": Check(
        "warning", "answers that begin with a teacher's small talk",
        "\"Sure, here is ...\" is learned like the rest, and breaks whatever parses the answer.",
        "Cut it; --fix cuts a line that only announces.",
    ),
    "refusals": Check(
        "warning", "answers that refuse, or speak as an AI",
        "A few teach a model to refuse what it should do.",
        "Drop them, unless refusing is what you teach.",
    ),
    "invalid_json": Check(
        "error", "outputs that are broken JSON, where most are JSON",
        "The model learns that broken is allowed.",
        "Mend them or drop them.",
    ),
    "mixed_outputs": Check(
        "warning", "outputs in another form than most",
        "JSON here and prose there: the model picks one by chance, and a parser fails on it.",
        "Choose one form. Where the file mixes tasks on purpose, this is no fault.",
    ),
    "label_variants": Check(
        "warning", "labels that differ from a commoner one in capitals, spaces or marks only",
        "One class in two spellings is half learned, and scored as wrong.",
        "Write each label in one way.",
    ),
    "label_imbalance": Check(
        "warning", "records of labels ten times rarer than the commonest",
        "Always saying the common label already scores well, so that is what is learned.",
        "Collect or up-sample the rare, and report a score for each label.",
    ),
    "mojibake": Check(
        "warning", "characters garbled by a wrong decoding",
        "The model learns to write Ã© for é.",
        "Decode the source as UTF-8; --fix mends what can be mended without doubt.",
    ),
    "length_outliers": Check(
        "note", "texts far longer or shorter than the others",
        "Mostly a paste or a cut; the longest also decide memory and time.",
        "Read them.",
    ),
    "secrets": Check(
        "error", "passwords, keys and tokens",
        "A model repeats what it was trained on, to anyone who asks.",
        "Revoke the key where it was issued, then take it out; --fix drops the record.",
    ),
    "emails": Check(
        "warning", "e-mail addresses",
        "Personal data: the model may repeat them, and the law may ask who agreed.",
        "Replace them by addresses at example.com.",
    ),
    "phones": Check(
        "warning", "telephone numbers",
        "Personal data: the model may repeat them.",
        "Replace them by numbers reserved for fiction.",
    ),
    "cards": Check(
        "warning", "payment card numbers (the Luhn check digit is right)",
        "Card numbers must not be kept, least of all in weights.",
        "Replace them by the card networks' test numbers.",
    ),
    "instructions": Check(
        "warning", "text that tries to instruct whoever reads it",
        "It steers a teacher or judge that reads the record, and teaches the model to obey it.",
        "Drop it; or keep it on purpose, with an answer that does not follow it.",
    ),
    "hidden_text": Check(
        "warning", "characters that hide or reorder text",
        "A person sees something else than the model does.",
        "Take them out; --fix does.",
    ),
    "low_diversity": Check(
        "warning", "inputs that repeat the same few phrases",
        "A thousand records from three sentences teach three sentences.",
        "More sentence forms, more sources; see the diversity measure.",
    ),
}  # fmt: skip
"""Every check, by name; the order is that of the report within a severity."""
