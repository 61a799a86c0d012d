/** Korean, by the English text. */
export const korean = {};
