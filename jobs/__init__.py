"""What a person runs: one small module per Spark job, the recipes, the command line."""
