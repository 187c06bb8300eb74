"""The steps as Spark jobs, the recipes and the command line."""
