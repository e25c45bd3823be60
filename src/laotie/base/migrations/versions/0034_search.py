"""Search: which products changed, in an order that indexes follow; words that mean the same."""

from laotie.base.migrations import run

revision = "0034"
down_revision = "0033"

SYNONYMS = """
口红,唇膏,lipstick
唇釉,lip gloss
粉底液,foundation
眼影盘,eyeshadow
睫毛膏,mascara
防晒霜,sunscreen
面霜,face cream
面膜,face mask,sheet mask
洗面奶,洁面乳,facial cleanser
护手霜,hand cream
香水,perfume
连衣裙,dress
半身裙,skirt
衬衫,衬衣,shirt
毛衣,sweater
卫衣,hoodie
牛仔裤,jeans
羽绒服,down jacket
旗袍,cheongsam,qipao
运动鞋,球鞋,sneakers,trainers
高跟鞋,high heels
凉鞋,sandals
拖鞋,slippers
双肩包,书包,backpack
行李箱,拉杆箱,suitcase,luggage
手提包,handbag
钱包,wallet
蓝牙耳机,bluetooth earphones,bluetooth headphones
耳机,earphones,headphones
充电宝,移动电源,power bank
手机壳,phone case
数据线,charging cable
智能手表,smart watch
键盘,keyboard
鼠标,mouse
显示器,monitor
电饭煲,电饭锅,rice cooker
空气炸锅,air fryer
吸尘器,vacuum cleaner
热水壶,电水壶,kettle
微波炉,microwave
保温杯,thermos
茶杯,tea cup,teacup
龙井茶,龙井,茶 龙井 longjing
普洱茶,普洱,茶 普洱 puer
红酒,葡萄酒,red wine
坚果,nuts
饼干,cookies,biscuits
巧克力,chocolate
月饼,mooncake
纸尿裤,尿不湿,diapers,nappies
奶粉,baby formula
玩具,toy
积木,building blocks
拼图,jigsaw,puzzle
瑜伽垫,yoga mat
帐篷,tent
项链,necklace
耳环,耳钉,earrings
戒指,ring
玉佩,玉坠,jade pendant
台灯,desk lamp
枕头,pillow
被子,棉被,quilt,duvet
毛巾,towel
雨伞,umbrella
钢笔,fountain pen
笔记本,notebook
猫粮,cat food
狗粮,dog food
"""
"""Groups to begin with; operators edit them."""


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA search;

        -- One row a product that changed. `no` is given under a lock, so that numbers are seen in their order; null: not
        -- yet numbered since it changed. is_short: a choice of it was sold out when the stock was last heard of.
        CREATE SEQUENCE search.change_no;
        CREATE TABLE search.change (
            product_id uuid PRIMARY KEY,
            no bigint UNIQUE,
            is_short boolean NOT NULL DEFAULT false,
            noted_at timestamptz NOT NULL
        ) WITH (fillfactor = 70);
        CREATE INDEX change_to_number ON search.change (product_id) WHERE no IS NULL;

        -- An index belongs to the database it was made from.
        CREATE TABLE search.origin (id uuid PRIMARY KEY);
        INSERT INTO search.origin VALUES (gen_random_uuid());

        CREATE TABLE search.synonym_group (
            id uuid PRIMARY KEY,
            changed_by uuid,
            changed_at timestamptz NOT NULL
        );
        -- As it is shown; key is the word as it is compared, and in one group only.
        CREATE TABLE search.synonym (
            key text PRIMARY KEY,
            word text NOT NULL CHECK (length(word) BETWEEN 1 AND 40),
            group_id uuid NOT NULL REFERENCES search.synonym_group (id) ON DELETE CASCADE,
            no smallint NOT NULL,
            UNIQUE (group_id, no)
        );
        """
    )
    run(
        """
        CREATE TEMPORARY TABLE seed ON COMMIT DROP AS
            SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(line.no), 12, '0'))::uuid AS group_id, line.words
            FROM regexp_split_to_table(trim('
        """  # noqa: S608 (words of this file)
        + SYNONYMS
        + """
        '), '\\s*\\n\\s*') WITH ORDINALITY AS line (words, no) WHERE line.words <> '';
        INSERT INTO search.synonym_group (id, changed_at) SELECT group_id, now() FROM seed;
        INSERT INTO search.synonym (key, word, group_id, no)
            SELECT word, word, group_id, no
            FROM seed, regexp_split_to_table(words, ',') WITH ORDINALITY AS one (word, no)
        """
    )
