"""Tests of the MIDI-style harness itself: that its scorer can be believed."""
