"""How is it shown: results, tables and progress on a terminal."""
