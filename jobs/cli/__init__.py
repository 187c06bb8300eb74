"""The command line. Each command imports what it needs: training needs no Spark, statistics no Java."""
