import { paymentsCreate, paymentsListPayments, paymentsStatus, usersLogIn, usersSignUp } from "./generated/kernapay";
import type { PaymentCreate, PaymentState, Problem } from "./generated/kernapay";

declare const process: { env: Record<string, string>; argv: string[] };

const [, , email = "", password = ""] = process.argv;
const wanted: PaymentCreate = { amount: 50000, currency: "INR", serviceType: "CONSULTATION", idempotencyKey: email };

async function main(): Promise<void> {
  const person = { email, password, confirmPassword: password, name: "Asha Rao", mobileNumber: 9876543210, countryCode: "+91" };
  const signedUp = await usersSignUp(person);
  const loggedIn = await usersLogIn({ email, password });
  if (loggedIn.status !== 200) throw new Error(loggedIn.data.detail);
  const signedIn = { headers: { Authorization: `Bearer ${loggedIn.data.token}` } };
  const created = await paymentsCreate(wanted, signedIn);
  if (created.status !== 201) throw new Error(JSON.stringify(created.data));
  const { referenceId, orderId } = created.data.data;
  const found = await paymentsStatus(referenceId);
  const state: PaymentState | undefined = found.status === 200 ? found.data.status : undefined;
  const listed = await paymentsListPayments({ status: "pending" }, signedIn);
  const refused = await paymentsCreate({ ...wanted, amount: 0 }, signedIn);
  const problem: Problem | undefined = refused.status === 400 ? refused.data : undefined;
  console.log(JSON.stringify({
    email: signedUp.status === 201 ? signedUp.data.email : undefined, orderId, state,
    listed: listed.status === 200 ? listed.data.payments.map((each) => each.referenceId === referenceId) : undefined,
    refused: problem?.errors?.map((each) => each.field),
  }));
}

void main();
