// Audit the GraphQL endpoint at the URL given, against the specification of GraphQL over HTTP. Prints JSON: what each
// audit is called, and what was wrong, or null.
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
console.log(JSON.stringify(results.map(({ name, status, reason }) => [name, status === "ok" ? null : reason])));
