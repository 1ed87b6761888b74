"""A MIDI-style harness: plant identifiers in real files, de-identify them, score what came out.

What belongs here: planting, the answer key, engines to compare with, the scorer, the report. What
does not: the engine. The scorer shares no code with it, so that neither hides the other's mistakes.

"MIDI-style" means: the actions, the form of the answer key and the rules of passing follow what
is publicly known of the Medical Image De-Identification Benchmark. The images, the keys and the
code are this project's own, hence a score of this harness is no score of that benchmark.

`python -m benchmarks.midi` runs it. Everything planted is fictitious.
"""
