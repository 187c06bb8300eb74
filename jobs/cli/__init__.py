"""The command line. Each command imports only what it needs: training runs without Spark, `stats` without Java."""
