"""The table: for every operator a function of its operands and attributes, by the same names and
with the same defaults as in a graph text, that gives the Bounded result.

Operands are float64 arrays that hold binary16 values (or bytes), booleans are bool arrays.
"""
import oracle_elementwise
import oracle_moves
import oracle_norms
import oracle_products

ORACLES = {
    **oracle_products.ORACLES,
    **oracle_elementwise.ORACLES,
    **oracle_norms.ORACLES,
    **oracle_moves.ORACLES,
}
