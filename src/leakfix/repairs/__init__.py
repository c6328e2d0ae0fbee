"""Repair strategies: general shapes of a scope put round an acquisition, each proved or refused."""
