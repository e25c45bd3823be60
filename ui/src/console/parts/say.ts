/** Short words at the top of the screen: what was done, what was refused and why. */
import { ElMessage } from 'element-plus'
import 'element-plus/es/components/message/style/css'
import { explain } from './explain'

export function sayDone(message: string): void {
  ElMessage({ message, duration: 2500, grouping: true })
}

export function sayRefused(error: unknown): void {
  ElMessage({ message: explain(error), duration: 5000, grouping: true, showClose: true, customClass: 'refused' })
}

export function sayTrouble(message: string): void {
  ElMessage({ message, duration: 6000, grouping: true, showClose: true, customClass: 'refused' })
}
