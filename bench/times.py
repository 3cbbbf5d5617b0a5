"""Times in words."""


def time_text(ms, exact=False):
    """In the unit that suits, with the digits of a measurement; `exact`: with those that the number
    has, such as that of a target."""
    if ms is None:
        return "-"
    if ms < 1e-3:
        value, unit, digits = ms * 1e6, "ns", 0
    elif ms < 1:
        value, unit, digits = ms * 1e3, "us", 1
    else:
        value, unit, digits = ms, "ms", 2
    return f"{value:g} {unit}" if exact else f"{value:.{digits}f} {unit}"
