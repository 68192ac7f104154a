/** Of what is read and written in small requests. */
export const SMALL_BODY_BYTES = 24
export const CONNECTIONS = 64
