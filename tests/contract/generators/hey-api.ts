import { client } from "./generated/client.gen";
import { paymentsCreate, paymentsListPayments, paymentsStatus, usersLogIn, usersSignUp } from "./generated/sdk.gen";
import type { PaymentCreate, PaymentState } from "./generated/types.gen";

declare const process: { env: Record<string, string>; argv: string[] };

const [, , email = "", password = ""] = process.argv;
client.setConfig({ baseUrl: process.env["API"]! });
const wanted: PaymentCreate = { amount: 50000, currency: "INR", serviceType: "CONSULTATION", idempotencyKey: email };

async function main(): Promise<void> {
  const person = { email, password, confirmPassword: password, name: "Asha Rao", mobileNumber: 9876543210, countryCode: "+91" };
  const signedUp = await usersSignUp({ body: person });
  const loggedIn = await usersLogIn({ body: { email, password }, throwOnError: true });
  client.setConfig({ auth: loggedIn.data.token });
  const created = await paymentsCreate({ body: wanted, throwOnError: true });
  const { referenceId, orderId } = created.data.data;
  const found = await paymentsStatus({ path: { reference_id: referenceId } });
  const state: PaymentState | undefined = found.data?.status;
  const listed = await paymentsListPayments({ query: { status: "pending" } });
  const refused = await paymentsCreate({ body: { ...wanted, amount: 0 } });
  console.log(JSON.stringify({
    email: signedUp.data?.email, orderId, state,
    listed: listed.data?.payments.map((each) => each.referenceId === referenceId),
    refused: refused.error?.errors?.map((each) => each.field),
  }));
}

void main();
