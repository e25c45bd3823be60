/** Asks for a reason in one line; nothing when it is called off. */
import { ElMessageBox } from 'element-plus'
import 'element-plus/es/components/message-box/style/css'
import { t } from '@/shared/i18n'

export async function askReason(title: string, act: string, text = ''): Promise<string | null> {
  try {
    const { value } = await ElMessageBox.prompt(text, title, {
      confirmButtonText: act,
      cancelButtonText: t('common.cancel'),
      confirmButtonClass: 'el-button--danger',
      inputPlaceholder: t('dealing.reason'),
      inputValidator: (said: string) => (said?.trim() && said.length <= 200 ? true : t('dealing.reasonNeeded')),
      customClass: 'ask-box',
    })
    return value.trim()
  } catch {
    return null
  }
}
