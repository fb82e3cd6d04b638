"""Telling people how a run goes."""
