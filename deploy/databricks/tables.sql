-- Not run on Databricks: each statement was run by Spark 4.1 on a local lake, and tests/unit/deploy/test_tables.py compares it with the tables that there are.
-- Makes the lake's tables known to Unity Catalog, once, after the job prepare has made them; an administrator runs it:
--   catalog=lakewarden_prod lake=abfss://lake@ACCOUNT.dfs.core.windows.net/lake envsubst < tables.sql
-- What is read this way is each table's newest version, not the published point: see README.md.
CREATE TABLE IF NOT EXISTS ${catalog}.raw.transactions_bronze USING DELTA LOCATION '${lake}/transactions_bronze';
CREATE TABLE IF NOT EXISTS ${catalog}.raw.transactions_dlq USING DELTA LOCATION '${lake}/transactions_dlq';
CREATE TABLE IF NOT EXISTS ${catalog}.raw.transactions_duplicates USING DELTA LOCATION '${lake}/transactions_duplicates';
CREATE TABLE IF NOT EXISTS ${catalog}.core.transactions_silver USING DELTA LOCATION '${lake}/transactions_silver';
CREATE TABLE IF NOT EXISTS ${catalog}.core.labels USING DELTA LOCATION '${lake}/labels';
CREATE TABLE IF NOT EXISTS ${catalog}.core.ml_features_training USING DELTA LOCATION '${lake}/ml_features_training';
CREATE TABLE IF NOT EXISTS ${catalog}.serving.risk_scores_gold USING DELTA LOCATION '${lake}/risk_scores_gold';
CREATE TABLE IF NOT EXISTS ${catalog}.serving.anomaly_alerts USING DELTA LOCATION '${lake}/anomaly_alerts';
CREATE TABLE IF NOT EXISTS ${catalog}.serving.dq_results USING DELTA LOCATION '${lake}/dq_results';
CREATE TABLE IF NOT EXISTS ${catalog}.serving.pipeline_runs USING DELTA LOCATION '${lake}/pipeline_runs';
CREATE TABLE IF NOT EXISTS ${catalog}.serving.regulatory_snapshots USING DELTA LOCATION '${lake}/regulatory_snapshots';
