/* A shop of Vendure in memory with one product, which is paid by the Razorpay plugin: node vendure_shop.cjs PORT CSV */
"use strict";
const [port, products] = process.argv.slice(2);

// The plugin comes as TypeScript, which Node leaves alone in packages.
require("ts-node").register({
  transpileOnly: true,
  ignore: [/node_modules\/(?!vendure-razorpay-plugin)/],
  compilerOptions: { module: "commonjs", target: "es2019", experimentalDecorators: true, emitDecoratorMetadata: true },
});
const { bootstrap, DefaultLogger, LogLevel } = require("@vendure/core");
const { populate } = require("@vendure/core/cli");
const { RazorpayPlugin } = require("vendure-razorpay-plugin");

const config = {
  apiOptions: { port: Number(port), hostname: "127.0.0.1", adminApiPath: "admin-api", shopApiPath: "shop-api" },
  authOptions: {
    tokenMethod: ["cookie"],
    superadminCredentials: { identifier: "superadmin", password: "superadmin" },
    cookieOptions: { secret: "of this shop" },
  },
  dbConnectionOptions: { type: "sqljs", synchronize: true, logging: false },
  paymentOptions: { paymentMethodHandlers: [] },
  customFields: { Order: [] },
  logger: new DefaultLogger({ level: LogLevel.Warn }),
  plugins: [RazorpayPlugin],
};
const { KEY_ID, KEY_SECRET } = process.env;
const keys = [{ name: "key_id", value: KEY_ID }, { name: "key_secret", value: KEY_SECRET }];
const data = {
  defaultLanguage: "en",
  defaultZone: "Asia",
  countries: [{ name: "India", code: "IN", zone: "Asia" }],
  taxRates: [{ name: "Standard Tax", percentage: 18 }],
  // The plugin asks Razorpay for the price without the shipping, and then refuses the payment for being less.
  shippingMethods: [{ name: "Pick-up", price: 0 }],
  paymentMethods: [{ name: "Razorpay", handler: { code: "razorpay", arguments: keys } }],
  collections: [],
};
populate(() => bootstrap(config), data, products).then(
  () => console.log("the shop is open"),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
