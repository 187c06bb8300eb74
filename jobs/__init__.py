"""What a person runs: one module per Spark job, the recipes, the command line."""
