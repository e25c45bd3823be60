/** The name of what is open, told by a page that shows one thing (a show at its desk). */
import { ref } from 'vue'

export const crumb = ref<string | null>(null)
