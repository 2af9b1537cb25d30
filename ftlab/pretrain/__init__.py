"""How the shipped base models were made: sources, tokenizer, training, evaluation, card.

    python -m ftlab.pretrain corpus --prose prose.jsonl.xz --speeches speeches.jsonl.xz
    python -m ftlab.pretrain train ftlab-7m --minutes 60
    python -m ftlab.pretrain card

Every step can be run again; training goes on from its last checkpoint.
"""
