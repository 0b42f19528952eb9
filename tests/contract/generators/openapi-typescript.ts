import createClient from "openapi-fetch";
import type { components, paths } from "./generated/schema";

declare const process: { env: Record<string, string>; argv: string[] };

const [, , email = "", password = ""] = process.argv;
const base = createClient<paths>({ baseUrl: process.env["API"]! });
// Only what has to be given: the compiler would name a property that the document demands in vain.
const wanted: components["schemas"]["PaymentCreate"] = { amount: 50000, currency: "INR", serviceType: "CONSULTATION", idempotencyKey: email };

async function main(): Promise<void> {
  const person = { email, password, confirmPassword: password, name: "Asha Rao", mobileNumber: 9876543210, countryCode: "+91" };
  const signedUp = await base.POST("/v1/api/users/signup", { body: person });
  const loggedIn = await base.POST("/v1/api/users/login", { body: { email, password } });
  if (!loggedIn.data) throw new Error(loggedIn.error.detail);
  const headers = { Authorization: `Bearer ${loggedIn.data.token}` };
  const created = await base.POST("/v1/api/payments/create", { body: wanted, headers });
  if (!created.data) throw new Error(created.error.detail);
  const { referenceId, orderId } = created.data.data;
  const found = await base.GET("/v1/api/payments/status/{reference_id}", { params: { path: { reference_id: referenceId } } });
  const state: components["schemas"]["PaymentState"] | undefined = found.data?.status;
  const listed = await base.GET("/v1/api/payments", { params: { query: { status: "pending" } }, headers });
  const refused = await base.POST("/v1/api/payments/create", { body: { ...wanted, amount: 0 }, headers });
  console.log(JSON.stringify({
    email: signedUp.data?.email, orderId, state,
    listed: listed.data?.payments.map((each) => each.referenceId === referenceId),
    refused: refused.error?.errors?.map((each) => each.field),
  }));
}

void main();
