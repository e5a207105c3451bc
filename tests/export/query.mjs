// SPDX-License-Identifier: MIT
// query.mjs: runs SQL in the query engine that an npm package brings, and prints a JSON object for
// each row. Stands for the duckdb and clickhouse commands, which Debian does not have:
//
//     query.mjs duckdb -c SQL
//     query.mjs clickhouse local -q SQL
//
// Packages are looked for in $NPM_PACKAGES/node_modules.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NPM_PACKAGES}/`);
const [engine, ...words] = process.argv.slice(2);
const sql = words[words.length - 1];

if (engine === 'duckdb' && words[0] === '-c') {
  const { DuckDBInstance } = require('@duckdb/node-api');
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const result = await connection.runAndReadAll(sql);
  for (const row of result.getRowObjectsJson()) console.log(JSON.stringify(row));
} else if (engine === 'clickhouse' && words[0] === 'local' && words[1] === '-q') {
  const { query } = require('chdb');
  process.stdout.write(query(sql, 'JSONEachRow'));
} else {
  throw new Error(`not for ${process.argv.slice(2)}`);
}
