"""The output folder and its run lock, and the Parquet parts of tables."""
