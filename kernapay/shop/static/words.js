import { speak } from "/checkout/assets/words.js";

export const { language, others, say } = await speak((code) => import(`./${code}.js`));
