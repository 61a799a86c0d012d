/** Which backend answers this page: in an exported page it is the engine. */
export { backend } from "./server.js";
